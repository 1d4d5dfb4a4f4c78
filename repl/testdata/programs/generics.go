package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

type Number interface {
	~int | ~int64 | ~float64
}

func Sum[T Number](xs ...T) T {
	var s T
	for _, x := range xs {
		s += x
	}
	return s
}

func Reduce[T, A any](xs []T, init A, f func(A, T) A) A {
	for _, x := range xs {
		init = f(init, x)
	}
	return init
}

type Pair[K cmp.Ordered, V any] struct {
	Key K
	Val V
}

func (p Pair[K, V]) String() string { return fmt.Sprintf("<%v=%v>", p.Key, p.Val) }

type List[T any] struct {
	head *node[T]
	size int
}

type node[T any] struct {
	val  T
	next *node[T]
}

func (l *List[T]) Push(v T) *List[T] {
	l.head = &node[T]{v, l.head}
	l.size++
	return l
}

func (l *List[T]) Each(f func(T)) {
	for n := l.head; n != nil; n = n.next {
		f(n.val)
	}
}

type Set[T comparable] map[T]struct{}

func (s Set[T]) Add(v T)      { s[v] = struct{}{} }
func (s Set[T]) Has(v T) bool { _, ok := s[v]; return ok }
func Keys[M ~map[K]V, K cmp.Ordered, V any](m M) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

type MyInt int

func SortedPairs[K cmp.Ordered, V any](m map[K]V) []Pair[K, V] {
	var out []Pair[K, V]
	for k, v := range m {
		out = append(out, Pair[K, V]{k, v})
	}
	slices.SortFunc(out, func(a, b Pair[K, V]) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

func Ptr[T any](v T) *T { return &v }

func main() {
	fmt.Println(Sum(1, 2, 3), Sum(1.5, 2.5), Sum[MyInt](4, 5), Sum[int]())
	fmt.Println(Reduce([]int{1, 2, 3}, "", func(a string, x int) string { return a + fmt.Sprint(x) }))
	p := Pair[string, int]{"a", 1}
	fmt.Println(p.String(), p.Key, p.Val)
	var l List[string]
	l.Push("x").Push("y")
	l.Each(func(s string) { fmt.Print(s, " ") })
	fmt.Println(l.size)
	s := Set[string]{}
	s.Add("q")
	s.Add("b")
	fmt.Println(s.Has("q"), s.Has("z"), Keys(s))
	for _, p := range SortedPairs(map[int]string{3: "c", 1: "a", 2: "b"}) {
		fmt.Print(p.Key, p.Val, " ")
	}
	fmt.Println()
	fmt.Println(*Ptr(3), *Ptr("s"), min(3, 2, 5), max("a", "b"), min(2.5, 1))
	xs := []int{5, 2, 8, 1}
	slices.Sort(xs)
	i, found := slices.BinarySearch(xs, 5)
	fmt.Println(xs, i, found, slices.Contains(xs, 8), slices.Index(xs, 2), slices.Max(xs))
	sort.Slice(xs, func(i, j int) bool { return xs[i] > xs[j] })
	fmt.Println(xs, strings.Join(slices.Compact([]string{"a", "a", "b"}), ","))
	m := map[string]int{"a": 1}
	clear(m)
	fmt.Println(len(m), cmp.Compare(1, 2), errors.Is(errors.ErrUnsupported, errors.ErrUnsupported))
}
