package data

import "fmt"

func init() { register("shp", loadSHP) }

// shpRow is a row of Stanford Human Preferences.
type shpRow struct {
	History *string `json:"history"`
	A       *string `json:"human_ref_A"`
	B       *string `json:"human_ref_B"`
	ScoreA  float64 `json:"score_A"`
	ScoreB  float64 `json:"score_B"`
	Label   *int    `json:"labels"` // 1: A is preferred
}

// loadSHP keeps pairs of which one score is at least twice the other, as the
// reference does; the SFT target is the response with the highest score.
func loadSHP(files []string) (*Dataset, error) {
	b := newBuilder("shp", KeepStart)
	best := map[string]float64{}
	err := eachRow(files, func(row shpRow, place string) error {
		if row.History == nil || row.A == nil || row.B == nil || row.Label == nil {
			return fmt.Errorf("want the fields history, human_ref_A, human_ref_B, score_A, score_B and labels")
		}
		b.set.Report.Rows++
		if ratio := max(row.ScoreA/row.ScoreB, row.ScoreB/row.ScoreA); ratio < 2 {
			b.set.Report.Filtered++
			return nil
		}
		prompt := "\n\nHuman: " + *row.History + assistantTurn
		p := b.at(prompt, place)
		n, target := len(p.Responses), p.SFTTarget
		b.pair(prompt, " "+*row.A, " "+*row.B, place)
		p = b.at(prompt, place)
		if *row.Label != 1 {
			p.Pairs[len(p.Pairs)-1] = [2]int{n + 1, n}
		}
		p.SFTTarget = target
		for i, score := range []float64{row.ScoreA, row.ScoreB} {
			if old, seen := best[prompt]; !seen || score > old {
				best[prompt], p.SFTTarget = score, p.Responses[n+i]
			}
		}
		return nil
	})
	return b.set, err
}
