package main

import (
	"errors"
	"fmt"
	"strings"
)

type animal interface{ Sound() string }
type dog struct{ name string }
type cat struct{ lives int }
type fish int
type flock []string

func (d dog) Sound() string   { return d.name + " woof" }
func (c *cat) Sound() string  { c.lives--; return fmt.Sprint("meow ", c.lives) }
func (f fish) String() string { return fmt.Sprintf("fish#%d", int(f)) }

func describe(x any) string {
	switch v := x.(type) {
	case nil:
		return "nil"
	case bool, string:
		return fmt.Sprintf("basic %v", v)
	case int:
		return fmt.Sprint("int ", v+1)
	case float64:
		return fmt.Sprint("float ", v*2)
	case []int:
		return fmt.Sprint("ints ", len(v))
	case map[string]int:
		return fmt.Sprint("map ", len(v))
	case func() int:
		return fmt.Sprint("func ", v())
	case chan int:
		return fmt.Sprint("chan ", cap(v))
	case error:
		return "error " + v.Error()
	case dog:
		return "dog " + v.name
	case *cat:
		return fmt.Sprint("cat ", v.lives)
	case fmt.Stringer:
		return "stringer " + v.String()
	case flock:
		return strings.Join(v, "+")
	case *int:
		return fmt.Sprint("pointer ", *v)
	case struct{ X int }:
		return fmt.Sprint("anonymous ", v.X)
	default:
		return "unknown"
	}
}

func sound(a animal) string {
	switch a := a.(type) {
	case dog:
		return "dog:" + a.Sound()
	case *cat:
		return "cat:" + a.Sound()
	}
	return "?"
}

func noVar(x any) int {
	switch x.(type) {
	case int, int8:
		return 1
	case uint:
		return 2
	case interface{ Sound() string }:
		return 3
	}
	return 0
}

func main() {
	n := 9
	for _, x := range []any{nil, true, "s", 3, 2.5, []int{1, 2}, map[string]int{"a": 1}, func() int { return 8 }, make(chan int, 3), errors.New("bad"), dog{"rex"}, &cat{9}, fish(3), flock{"a", "b"}, &n, struct{ X int }{4}, struct{ Y int }{4}, int8(3)} {
		fmt.Println(describe(x))
	}
	fmt.Println(sound(dog{"a"}), sound(&cat{3}))
	fmt.Println(noVar(1), noVar(int8(2)), noVar(uint(2)), noVar(dog{}), noVar(&cat{1}), noVar("x"))
	switch y := any(n).(type) {
	case int:
		y++
		fmt.Println(y, n)
	}
	switch z := describe(1); w := any(z).(type) {
	case string:
		fmt.Println(w, len(z))
	}
outer:
	for i := 0; ; i++ {
		switch v := any(i).(type) {
		case int:
			if v == 3 {
				break outer
			}
			if v == 1 {
				break
			}
			fmt.Println("v", v)
		}
	}
	var a animal
	switch a.(type) {
	case nil:
		fmt.Println("nil animal")
	default:
		fmt.Println("?")
	}
}
