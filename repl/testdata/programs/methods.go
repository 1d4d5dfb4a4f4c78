package main

import (
	"fmt"
	"sort"
	"strings"
)

type point struct{ x, y int }

func (p point) add(q point) point   { return point{p.x + q.x, p.y + q.y} }
func (p *point) scale(k int)        { p.x *= k; p.y *= k }
func (p point) String() string      { return fmt.Sprintf("(%d,%d)", p.x, p.y) }
func (p *point) chain(k int) *point { p.x += k; return p }

type op func(int, int) int

func (o op) apply(a, b int) int { return o(a, b) }

type counts map[string]int

func (c counts) inc(k string) { c[k]++ }
func (c counts) keys() (out []string) {
	for k := range c {
		out = append(out, k)
	}
	sort.Strings(out)
	return
}

type names []string

func (n names) Len() int           { return len(n) }
func (n names) Less(i, j int) bool { return n[i] < n[j] }
func (n names) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *names) push(s ...string)  { *n = append(*n, s...) }

type celsius float64

func (c celsius) f() float64 { return float64(c)*9/5 + 32 }

type level int

const (
	low level = iota
	mid
	high
)

func (l level) String() string { return [...]string{"low", "mid", "high"}[l] }

type tree struct {
	l, r *tree
	v    int
}

func (t *tree) insert(v int) *tree {
	if t == nil {
		return &tree{v: v}
	}
	if v < t.v {
		t.l = t.l.insert(v)
	} else {
		t.r = t.r.insert(v)
	}
	return t
}

func (t *tree) walk(f func(int)) {
	if t == nil {
		return
	}
	t.l.walk(f)
	f(t.v)
	t.r.walk(f)
}

type adder interface{ add(point) point }

type matrix [2][2]int

func (m matrix) mul(n matrix) (out matrix) {
	for i := range m {
		for j := range m[i] {
			for k := range 2 {
				out[i][j] += m[i][k] * n[k][j]
			}
		}
	}
	return
}

func (m *matrix) set(i, j, v int) { m[i][j] = v }

func main() {
	p := point{1, 2}
	f := p.add
	p.scale(10)
	fmt.Println(f(point{1, 1}), p.add(point{1, 1}))
	g := (*point).scale
	g(&p, 2)
	fmt.Println(p)
	h := point.add
	fmt.Println(h(p, p))
	s := p.scale
	s(3)
	fmt.Println(p, p.String())
	fmt.Println(p.chain(1).chain(2).chain(3), p)
	i := adder.add
	fmt.Println(i(p, point{}))
	var a adder = p
	af := a.add
	fmt.Println(af(point{1, 1}))
	fmt.Println(op(func(a, b int) int { return a * b }).apply(3, 4))
	c := counts{}
	c.inc("z")
	c.inc("a")
	c.inc("z")
	fmt.Println(c.keys(), c["z"], len(c))
	var n names
	n.push("q", "b")
	n.push("m")
	sort.Sort(n)
	fmt.Println(n, n.Len())
	sort.Sort(sort.Reverse(n))
	fmt.Println(n)
	fmt.Println(celsius(100).f())
	fmt.Println(high, mid, []level{low, high}, map[level]int{mid: 2})
	fmt.Printf("%v %d %s %q %x\n", mid, mid, high, low, high)
	var t *tree
	for _, v := range []int{5, 2, 8, 1, 9} {
		t = t.insert(v)
	}
	var out []string
	t.walk(func(v int) { out = append(out, fmt.Sprint(v)) })
	fmt.Println(strings.Join(out, ","))
	m := matrix{{1, 1}, {1, 0}}
	r := m
	for range 5 {
		r = r.mul(m)
	}
	m.set(0, 0, 7)
	fmt.Println(r, m)
	fs := map[string]func(point) point{"add": p.add, "self": point{}.add}
	fmt.Println(fs["add"](point{1, 0}), fs["self"](point{5, 5}))
	ps := []point{{1, 2}, {3, 4}}
	for i := range ps {
		ps[i].scale(2)
	}
	fmt.Println(ps)
	pm := map[string]*point{"a": {1, 1}}
	pm["a"].scale(4)
	fmt.Println(*pm["a"], pm["a"])
	defer p.scale(2)
	defer fmt.Println("deferred", p)
	func(p point) { p.scale(100) }(p)
	fmt.Println(p)
}
