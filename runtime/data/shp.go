package data

import "fmt"

func init() { Register("shp", loadSHP) }

// shpRow is a row of Stanford Human Preferences.
type shpRow struct {
	History *string  `json:"history"`
	A       *string  `json:"human_ref_A"`
	B       *string  `json:"human_ref_B"`
	ScoreA  *float64 `json:"score_A"`
	ScoreB  *float64 `json:"score_B"`
	Label   *int     `json:"labels"` // 1: A is preferred
}

// loadSHP keeps pairs of which one score is at least twice the other, as the
// reference does; the SFT target is the response with the highest score.
func loadSHP(path string, split Split) (*Dataset, error) {
	set := &Dataset{Name: "shp", Truncation: KeepStart}
	scores := map[string][]float64{} // by prompt, one for each response
	err := eachRow(path, split, func(row shpRow, place string) error {
		if row.History == nil || row.A == nil || row.B == nil || row.ScoreA == nil || row.ScoreB == nil || row.Label == nil {
			return fmt.Errorf("want the fields history, human_ref_A, human_ref_B, score_A, score_B and labels")
		}
		a, b := *row.ScoreA, *row.ScoreB
		if a == 0 || b == 0 {
			return fmt.Errorf("scores %v and %v have no ratio", a, b)
		}
		set.Report.Rows++
		if max(a/b, b/a) < 2 {
			set.Report.Filtered++
			return nil
		}
		prompt := humanTurn + " " + *row.History + assistantTurn
		p := set.at(prompt, place)
		n := len(p.Responses)
		p.Responses = append(p.Responses, " "+*row.A, " "+*row.B)
		scores[prompt] = append(scores[prompt], a, b)
		if *row.Label == 1 {
			set.pair(p, n, n+1, place)
		} else {
			set.pair(p, n+1, n, place)
		}
		return nil
	})
	for i := range set.Prompts {
		p := &set.Prompts[i]
		p.SFTTarget = best(p.Responses, scores[p.Text])
	}
	return set, err
}

// best returns the response with the highest score, the first of equals. A
// response given twice counts with its first score, as in the reference.
func best(responses []string, scores []float64) string {
	first := map[string]float64{}
	top := -1
	for i, r := range responses {
		if _, again := first[r]; again {
			continue
		}
		first[r] = scores[i]
		if top < 0 || scores[i] > scores[top] {
			top = i
		}
	}
	if top < 0 {
		return ""
	}
	return responses[top]
}
