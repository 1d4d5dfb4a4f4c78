package main

import (
	"errors"
	"fmt"
)

type shape interface{ area() float64 }
type square struct{ s float64 }
type circle struct{ r float64 }

func (s square) area() float64  { return s.s * s.s }
func (c *circle) area() float64 { return 3 * c.r * c.r }

func look(m map[string]int, k string) (int, bool) {
	v, ok := m[k]
	return v, ok
}

func assert(x any) (string, bool) {
	s, ok := x.(string)
	return s, ok
}

func recv(ch chan int) (int, bool) {
	v, ok := <-ch
	return v, ok
}

var table = map[string]int{"one": 1}
var one, hasOne = table["one"]
var two, hasTwo = table["two"]
var boxed any = 12
var num, isNum = boxed.(int)

func main() {
	fmt.Println(one, hasOne, two, hasTwo, num, isNum)
	fmt.Println(look(table, "one"))
	fmt.Println(look(table, "x"))
	fmt.Println(assert("s"))
	fmt.Println(assert(3))
	ch := make(chan int, 2)
	ch <- 4
	close(ch)
	fmt.Println(recv(ch))
	fmt.Println(recv(ch))
	if v, ok := table["one"]; ok {
		fmt.Println("if", v)
	}
	if v, ok := table["zzz"]; !ok {
		fmt.Println("not", v)
	} else if w, ok := table["one"]; ok {
		fmt.Println(v, w)
	}
	if _, ok := boxed.(string); !ok {
		fmt.Println("no string")
	}
	switch v, ok := boxed.(int); {
	case ok && v > 10:
		fmt.Println("big", v)
	default:
		fmt.Println("other")
	}
	switch _, ok := table["one"]; ok {
	case true:
		fmt.Println("present")
	case false:
		fmt.Println("absent")
	}
	var v int
	var ok bool
	v, ok = table["one"]
	fmt.Println(v, ok)
	v, ok = boxed.(int)
	fmt.Println(v, ok)
	_, ok = boxed.(error)
	fmt.Println(ok)
	var arr [3]int
	arr[1], ok = table["one"]
	fmt.Println(arr, ok)
	m := map[string]any{}
	m["x"], ok = table["one"]
	fmt.Println(m, ok)
	var s shape = square{2}
	if q, ok := s.(square); ok {
		fmt.Println(q.s, q.area())
	}
	if c, ok := s.(*circle); ok || c == nil {
		fmt.Println("nil circle", ok, c == nil)
	}
	for v, ok := table["one"]; ok; v, ok = table[fmt.Sprint(v)] {
		fmt.Println("loop", v, ok)
	}
	type pair struct {
		v  int
		ok bool
	}
	var p pair
	p.v, p.ok = table["one"]
	fmt.Println(p.v, p.ok)
	nested := map[string]map[string]int{"a": {"b": 2}}
	if in, ok := nested["a"]; ok {
		if x, ok := in["b"]; ok {
			fmt.Println(x)
		}
	}
	if x, ok := nested["q"]["r"]; !ok {
		fmt.Println("nothing", x)
	}
	err := error(errors.New("e"))
	_, isStringer := err.(fmt.Stringer)
	fmt.Println(isStringer)
	func() {
		defer func() { fmt.Println("recovered:", recover() != nil) }()
		_ = boxed.(string)
	}()
	func() {
		defer func() { fmt.Println(recover()) }()
		_ = boxed.(string)
	}()
}
