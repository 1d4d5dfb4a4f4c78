package main

import (
	"fmt"
	"time"
)

type color int

const (
	red color = iota
	green
)

func (c color) String() string { return []string{"red", "green"}[c] }

type pt struct{ X, y int }
type named struct {
	pt
	Name string
	c    color
	Next *named
	Any  any
	err  error
}
type money float64

func (m money) String() string { return fmt.Sprintf("$%.2f", float64(m)) }

type ptrStr struct{ v int }

func (p *ptrStr) String() string { return fmt.Sprint("ptr", p.v) }

type goStr struct{ a int }

func (g goStr) GoString() string { return "goStr!" }

type fm struct{ a int }

func (f fm) Format(s fmt.State, verb rune) { fmt.Fprintf(s, "<%c %d>", verb, f.a) }

type myErr struct{ c int }

func (e myErr) Error() string { return fmt.Sprint("myErr", e.c) }

type list []color
type dict map[string]money
type fn func(int) string
type Box[T any] struct{ V T }
type iface interface{ String() string }
type holder struct {
	I iface
	L list
	D dict
	M map[color]pt
	P *pt
	F fn
	T time.Duration
}

func main() {
	p := pt{1, 2}
	fmt.Println(p, &p, []pt{p}, map[string]pt{"a": p}, []*pt{nil})
	fmt.Printf("%v %+v %#v %T\n", p, p, p, p)
	fmt.Printf("%v %+v %#v %T\n", &p, &p, &p, &p)
	n := named{pt: p, Name: "n", c: green, Any: red, err: myErr{3}}
	fmt.Printf("%v\n%+v\n", n, n)
	fmt.Printf("%#v %T\n", n, n)
	fmt.Printf("%v %d %s %q %x %#v %T %+v\n", green, green, green, green, green, green, green, green)
	fmt.Println(money(2.5), []money{1, 2}, dict{"x": 3})
	fmt.Printf("%v %.3f %#v %T\n", money(1), money(1), money(1), money(1))
	fmt.Println(ptrStr{1}, &ptrStr{2}, []ptrStr{{3}}, []*ptrStr{})
	fmt.Printf("%v %#v %+v\n", goStr{1}, goStr{1}, []goStr{{1}})
	fmt.Printf("%v %d %#v\n", fm{1}, []fm{{2}}, fm{3})
	fmt.Println(myErr{4}, []error{myErr{5}}, []myErr{{6}})
	fmt.Printf("%v %#v %T\n", myErr{4}, myErr{4}, error(myErr{4}))
	fmt.Printf("%v %#v %T\n", list{red, green}, list{red, green}, list{})
	fmt.Printf("%v %#v %T\n", dict{"b": 1, "a": 2}, dict{"b": 1}, dict{})
	fmt.Printf("%T %T %T\n", fn(nil), Box[int]{}, Box[pt]{})
	fmt.Printf("%v %+v %#v\n", Box[int]{1}, Box[string]{"s"}, Box[pt]{p})
	h := holder{I: green, L: list{red}, D: dict{"k": 1}, M: map[color]pt{green: p}, T: time.Second}
	fmt.Printf("%v\n%+v\n", h, h)
	fmt.Printf("%#v\n", holder{L: list{green}})
	fmt.Printf("%T %T %T %T\n", []pt{}, map[string]*pt{}, [2]color{}, make(chan pt))
	fmt.Printf("%T %T %T\n", func(pt) color { return 0 }, struct{ A pt }{}, any(nil))
	fmt.Printf("%5v|%-8v|%8s|%08d|%x\n", green, green, green, color(1), "hi")
	fmt.Printf("%v %v\n", struct {
		A int
		B pt
	}{1, p}, [2]pt{})
	fmt.Printf("%+v\n", struct {
		A int
		B *int
		C pt
	}{A: 1})
	s := fmt.Sprint(p, green, "x", 3, money(1))
	fmt.Println(s, len(s))
	s = fmt.Sprintln(n.c, n.pt)
	fmt.Print(s)
	fmt.Print(p, p, "a", "b", 1, 2, green, "\n")
	var np *pt
	var ni iface
	fmt.Println(np, ni, n.Next)
	fmt.Printf("%v %+v %T %T\n", np, np, np, ni)
	fmt.Printf("%s %d\n", p, p)
	fmt.Printf("%!|%z %d\n", green)
	fmt.Printf("%[2]v %[1]v %v\n", green, p)
	fmt.Printf("%*d|%-*d|\n", 5, green, 4, 7)
	args := []any{green, p, money(3)}
	fmt.Println(args...)
	fmt.Printf("%v %+v %v\n", args...)
	fmt.Println(fmt.Errorf("e: %v %w", p, myErr{1}))
	type local struct{ A, B int }
	fmt.Printf("%v %+v %T\n", local{1, 2}, local{1, 2}, local{})
	fmt.Println(fmt.Append(nil, green)[0], string(fmt.Appendf(nil, "%v-%+v", green, p)))
	arr := [...]any{1, "a", nil, green, p, &n == nil, []any{red, pt{}}}
	fmt.Println(arr, len(arr))
	fmt.Printf("%v %#v\n", arr[3], arr[1])
	fmt.Printf("%t %v %p\n", true, false, nil)
	fmt.Printf("%6.2f|%e|%g|%U|%c|%b\n", 3.14159, 1e6, 1e21, 'x', 'y', 5)
	fmt.Printf("%v %s\n", []string{"a", "b"}, []byte("hi"))
	fmt.Printf("%q %v %x\n", []string{"a"}, []byte("a"), []byte("az"))
	fmt.Printf("%v %v\n", complex(1, -2), 1i)
}
