// Package demo is an experiment small enough to carry in the binary: a tiny
// Llama, a tokenizer of 512 tokens and preference pairs of our own making. It
// runs the product's main job from beginning to end in about two minutes on two
// cores: supervised fine-tuning, then the same DPO run in float32 and in
// bfloat16 under FSDP on two CPU ranks.
package demo

import (
	"encoding/json"
	"fmt"
	"os"
)

// thing is something the questions are about.
type thing struct{ name, color, place, use string }

var things = []thing{
	{"banana", "yellow", "in the kitchen", "eating"}, {"tomato", "red", "in the garden", "cooking"}, {"carrot", "orange", "in the garden", "eating"},
	{"lemon", "yellow", "in the kitchen", "making tea"}, {"hammer", "grey", "in the shed", "driving nails"}, {"ladder", "brown", "in the shed", "climbing"},
	{"pillow", "white", "in the bedroom", "sleeping"}, {"blanket", "blue", "in the bedroom", "keeping warm"}, {"kettle", "silver", "in the kitchen", "boiling water"},
	{"bucket", "green", "in the garage", "carrying water"}, {"rope", "brown", "on the boat", "tying knots"}, {"anchor", "black", "on the boat", "holding a ship"},
	{"lantern", "gold", "on the porch", "giving light"}, {"bench", "green", "in the park", "sitting"}, {"kite", "red", "in the attic", "playing in the wind"},
	{"piano", "black", "in the hall", "making music"}, {"violin", "brown", "in the hall", "making music"}, {"brush", "blue", "in the studio", "painting"},
	{"canvas", "white", "in the studio", "painting"}, {"pencil", "orange", "on the desk", "drawing"}, {"stapler", "grey", "on the desk", "joining paper"},
	{"atlas", "blue", "in the library", "finding places"}, {"novel", "red", "in the library", "reading"}, {"bicycle", "green", "in the garage", "riding to work"},
	{"helmet", "white", "in the garage", "protecting the head"}, {"tent", "orange", "in the attic", "sleeping outside"}, {"compass", "gold", "in the attic", "finding north"},
	{"basket", "brown", "in the market", "carrying fruit"}, {"scarf", "red", "in the hall", "keeping warm"}, {"umbrella", "black", "on the porch", "staying dry"},
}

// ways are the questions, each with the answer that deserves to be chosen.
var ways = []struct {
	question, answer func(t thing) string
}{
	{func(t thing) string { return "What color is the " + t.name + "?" }, func(t thing) string { return "The " + t.name + " is " + t.color }},
	{func(t thing) string { return "Where can I find the " + t.name + "?" }, func(t thing) string { return "You can find the " + t.name + " " + t.place }},
	{func(t thing) string { return "What is the " + t.name + " for?" }, func(t thing) string { return "The " + t.name + " is good for " + t.use }},
	{func(t thing) string { return "Please tell me about the " + t.name + "." }, func(t thing) string {
		return "The " + t.name + " is " + t.color + ", and it is good for " + t.use
	}},
}

var kind = []string{". I hope that helps you!", ". Let me know if you need more.", ". I am happy to help.", ". Have a lovely day!"}

var rude = []string{" and I do not care.", ". Stop asking me that.", ". Go and look yourself.", ". What a silly question."}

// row is a line in Anthropic HH's format.
type row struct {
	Chosen   string `json:"chosen"`
	Rejected string `json:"rejected"`
}

// rows makes the pairs: every question twice, answered kindly and rudely. The
// fact is the same in both, so what is preferred is the manner, and whoever
// only knows the facts is right half the time. Every eighth question is kept for evaluation.
func rows() (train, test []row) {
	for i, t := range things {
		for j, w := range ways {
			prompt := "\n\nHuman: " + w.question(t) + "\n\nAssistant:"
			for k := range 2 {
				n := i + 3*j + 2*k
				r := row{prompt + " " + w.answer(t) + kind[n%4], prompt + " " + w.answer(t) + rude[(n+i)%4]}
				if (4*i+j)%8 == 5 {
					test = append(test, r)
				} else {
					train = append(train, r)
				}
			}
		}
	}
	return train, test
}

// writeRows writes a JSON-lines file.
func writeRows(path string, list []row) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	enc := json.NewEncoder(f)
	for _, r := range list {
		if err := enc.Encode(r); err != nil {
			f.Close()
			return fmt.Errorf("demo: %w", err)
		}
	}
	return f.Close()
}
