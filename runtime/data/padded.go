package data

// Padded is the reference's layout of the same examples: every prompt with
// every response as a row of its own, padded at the end to the longest. It
// exists as an oracle for tests and for counting what padding costs.
type Padded struct {
	Rows, Width int
	IDs         []int32 // [Rows, Width], padding 0
	Mask        []bool  // [Rows, Width], false on padding
	Labels      []int32 // [Rows, Width], -100 on prompt and padding
}

// Pad builds the padded layout, chosen rows before rejected ones.
func Pad(examples []Example, mode Mode) *Padded {
	var rows, prompts [][]int32
	add := func(prompt, response []int32) {
		rows = append(rows, append(append([]int32(nil), prompt...), response...))
		prompts = append(prompts, prompt)
	}
	for _, e := range examples {
		add(e.Prompt, e.Chosen)
	}
	if mode == Preference {
		for _, e := range examples {
			add(e.Prompt, e.Rejected)
		}
	}
	p := &Padded{Rows: len(rows)}
	for _, r := range rows {
		p.Width = max(p.Width, len(r))
	}
	p.IDs, p.Mask, p.Labels = make([]int32, p.Rows*p.Width), make([]bool, p.Rows*p.Width), make([]int32, p.Rows*p.Width)
	for i, r := range rows {
		for j := range p.Width {
			at := i*p.Width + j
			p.Labels[at] = -100
			if j < len(r) {
				p.IDs[at], p.Mask[at] = r[j], true
				if j >= len(prompts[i]) {
					p.Labels[at] = r[j]
				}
			}
		}
	}
	return p
}

// TokenCounts compares layouts of the same examples, in tokens computed.
type TokenCounts struct{ Padded, Unpadded, Packed int }

// Count counts the tokens that each layout computes.
func Count(examples []Example, mode Mode) TokenCounts {
	p := Pad(examples, mode)
	c := TokenCounts{Padded: p.Rows * p.Width, Packed: len(Pack(examples, mode).IDs)}
	for _, m := range p.Mask {
		if m {
			c.Unpadded++
		}
	}
	return c
}
