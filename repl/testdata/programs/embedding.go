package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

type base struct {
	id   int
	name string
}

func (b base) Describe() string { return fmt.Sprintf("%d:%s", b.id, b.name) }
func (b *base) Rename(s string) { b.name = s }

type middle struct {
	base
	extra float64
}

func (m middle) Describe() string { return "middle " + m.base.Describe() }

type top struct {
	*middle
	tags []string
}

type counter struct {
	sync.Mutex
	n map[string]int
}

func (c *counter) inc(k string) {
	c.Lock()
	defer c.Unlock()
	c.n[k]++
}

type logger struct {
	strings.Builder
	lines int
}

func (l *logger) log(s string) {
	l.WriteString(s)
	l.WriteByte('\n')
	l.lines++
}

type describer interface{ Describe() string }
type renamer interface {
	describer
	Rename(string)
}

type upper struct{ io.Reader }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

type wrapped struct {
	error
	code int
}

func (w wrapped) Unwrap() error { return w.error }

type withFunc struct {
	f func(int) int
	describer
}

type intAlias = int
type withInt struct {
	intAlias
	string
}

func main() {
	m := middle{base{1, "a"}, 2.5}
	fmt.Println(m.id, m.name, m.Describe(), m.base.Describe())
	m.Rename("b")
	fmt.Println(m.name, m.Describe())
	t := top{&m, []string{"x"}}
	t.Rename("c")
	t.id = 7
	fmt.Println(t.Describe(), m.name, t.extra, len(t.tags))
	var d describer = t
	fmt.Println(d.Describe())
	var r renamer = &m
	r.Rename("via")
	fmt.Println(r.Describe())
	var r2 renamer = t
	r2.Rename("top")
	fmt.Println(m.name)
	c := counter{n: map[string]int{}}
	var wg sync.WaitGroup
	for range 5 {
		wg.Add(1)
		go func() { defer wg.Done(); c.inc("k") }()
	}
	wg.Wait()
	fmt.Println(c.n["k"])
	var l logger
	l.log("one")
	l.log("two")
	fmt.Printf("%q %d\n", l.String(), l.lines)
	out, err := io.ReadAll(upper{strings.NewReader("shout")})
	fmt.Println(string(out), err)
	e := wrapped{errors.New("inner"), 3}
	fmt.Println(e.Error(), e.code, errors.Unwrap(e))
	w := withFunc{func(x int) int { return x * 2 }, m}
	fmt.Println(w.f(4), w.Describe())
	wi := withInt{3, "s"}
	fmt.Println(wi.intAlias+1, wi.string+"t")
	f := t.Describe
	m.name = "later"
	fmt.Println(f(), t.Describe())
	g := (*middle).Rename
	g(&m, "expr")
	fmt.Println(m.name)
	anon := struct {
		base
		k int
	}{base{4, "anon"}, 5}
	fmt.Println(anon.Describe(), anon.k)
}
