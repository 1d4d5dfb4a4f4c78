package distributed

import (
	"fmt"
	"slices"
)

// call is one rank's part in a collective.
type call struct {
	name   string
	pieces []Piece
	values []float64 // on the host
	bytes  []byte    // what a rank tells the others besides
	ready  *shared   // behind which the device has the pieces' memory ready
}

// agree checks that the other members mean the same collective as the one at
// place me; a difference is the failure of all.
func (m *meeting) agree(me int, calls []call) error {
	for i, theirs := range calls {
		if err := compare(calls[me], theirs); err != nil {
			err = fmt.Errorf("ranks %d and %d disagree: %w", m.members[me], m.members[i], err)
			m.lobby.fail(err)
			return err
		}
	}
	return nil
}

func compare(a, b call) error {
	if a.name != b.name {
		return fmt.Errorf("%s against %s", a.name, b.name)
	}
	if len(a.pieces) != len(b.pieces) {
		return fmt.Errorf("%s of %d arrays against %d", a.name, len(a.pieces), len(b.pieces))
	}
	if len(a.values) != len(b.values) {
		return fmt.Errorf("%s: %d values against %d", a.name, len(a.values), len(b.values))
	}
	for i, p := range a.pieces {
		q := b.pieces[i]
		if p.Whole.Len != q.Whole.Len || p.Whole.DType != q.Whole.DType {
			return fmt.Errorf("%s array %d: %d × %s against %d × %s", a.name, i,
				p.Whole.Len, p.Whole.DType, q.Whole.Len, q.Whole.DType)
		}
		if !slices.Equal(p.Offsets, q.Offsets) {
			return fmt.Errorf("%s array %d: divided at %v against %v", a.name, i, p.Offsets, q.Offsets)
		}
	}
	return nil
}
