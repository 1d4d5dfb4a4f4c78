// Assignments of several values at once.
package main

import (
	"fmt"
	"strings"
)

type point struct {
	x, y int
	name string
	next *point
}

func id(i int) int { return i }

func named() (a, b int, s string) {
	a, b, s = id(1), 2, fmt.Sprint(3)
	return a + 1, a, fmt.Sprint(a, b)
}

func swapped() (a, b int) {
	a, b = 1, 2
	return b, a
}

func fib(n int) int {
	a, b := 0, 1
	for i := 0; i < n; i++ {
		a, b = b, a+b
	}
	return a
}

func find(words ...string) (index int, word string, err error) {
	for i, w := range words {
		if strings.HasPrefix(w, "k") {
			return i, w, nil
		}
	}
	return -1, "", fmt.Errorf("none of %d", len(words))
}

func main() {
	var p point
	p.x, p.y, p.name = id(5), 7, strings.Repeat("ab", 2)
	fmt.Println(p)
	p.x, p.next, p.y = p.y, nil, p.x
	fmt.Println(p)
	q := &point{x: 1, y: 2}
	q.x, q.y = q.y, q.x
	fmt.Println(*q)
	q.next, q.x = &point{name: "n"}, len(q.name)
	q, q.next.name = q.next, "changed"
	fmt.Println(*q)

	xs := []int{1, 2, 3, 4}
	i := 0
	i, xs[i] = 2, 9
	fmt.Println(i, xs)
	xs[0], xs[3] = xs[3], xs[0]
	xs[i], xs[i+1], i = id(70), xs[i], id(1)
	fmt.Println(i, xs)
	xs, xs[0] = nil, 5
	fmt.Println(xs, xs == nil)

	m := map[string]int{}
	m["a"], m["b"] = id(1), 2
	m["a"], m["b"] = m["b"], m["a"]
	fmt.Println(m)
	var grid [2][2]int
	grid[0][1], grid[1][0] = id(3), 4
	grid[0], grid[1] = grid[1], grid[0]
	fmt.Println(grid)

	ps := []point{{x: 1}, {x: 2}}
	ps[0], ps[1] = ps[1], ps[0]
	p1, p2 := ps[0], ps[1]
	p1, p2 = p2, p1
	fmt.Println(ps, p1.x, p2.x)
	n := 3
	r := &n
	*r, r = 77, nil
	fmt.Println(n, r)
	var e1, e2 any = id(2), "two"
	e1, e2 = e2, e1
	fmt.Println(e1, e2)
	e1, e2 = 1, nil
	fmt.Println(e1, e2)
	var f float64
	var g func(int) int
	f, n, g = 1, id(7), id
	fmt.Println(f/2, n, g(8))
	_, n = fmt.Sprint("x"), 4
	fmt.Println(n)
	a, n := id(1), n+1
	n, c := n+id(1), a
	fmt.Println(a, n, c)

	for lo, hi := 0, id(4); lo < hi; lo, hi = lo+id(1), hi-1 {
		fmt.Print(lo, hi, " ")
	}
	var k, l int
	for k, l = id(1), 5; k < l; k, l = k+1, l-1 {
		fmt.Print(k, l, " ")
	}
	fmt.Println(k, l)
	if k, l = id(3), 4; k < l {
		fmt.Println("less", k, l)
	} else if k, l = l, id(0); k > 1 {
		fmt.Println("more", k, l)
	}
	switch k, l = id(1), 2; k + l {
	case 3:
		fmt.Println("three")
	}
	fmt.Println(named())
	fmt.Println(swapped())
	fmt.Println(fib(30))
	fmt.Println(find("a", "kb"))
	fmt.Println(find("a"))
	squares := func(yield func(int, int) bool) {
		for i := range 5 {
			if !yield(i, i*i) {
				return
			}
		}
	}
	first := func(over int) (root, square int) {
		for root, square = range squares {
			if square > over {
				return square, id(root)
			}
		}
		return -1, id(-2)
	}
	fmt.Println(first(5))
	fmt.Println(first(500))
}
