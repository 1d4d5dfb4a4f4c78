package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Entry is an array in a file: all of it, whoever owns which rows.
type Entry struct {
	Name   string      `json:"name"`
	DType  dtype.DType `json:"dtype"`
	Shape  []int       `json:"shape"`
	Offset int         `json:"offset"` // in bytes, set by Create
}

// Bytes is the size of the array.
func (e Entry) Bytes() int {
	n := e.DType.Size()
	for _, d := range e.Shape {
		n *= d
	}
	return n
}

// arrays is a pair of mapped files with the same layout.
type arrays struct {
	record  fileRecord
	entries map[string]Entry
	order   []string
	areas   [2][]byte
	memory  *tensor.Memory // over the live area
}

const alignment = 64 // what kernels like best

func (r fileRecord) layoutPath(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d.json", r.Name, r.Version))
}

func (r fileRecord) areaPath(dir string, area int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%d.bin", r.Name, r.Version, area))
}

// createArrays lays entries out and makes both files, of zeros, with their
// space on disk: a full disk is an error now and not a crash later.
func createArrays(dir string, r fileRecord, entries []Entry) error {
	size := 0
	for i := range entries {
		size = (size + alignment - 1) / alignment * alignment
		entries[i].Offset = size
		size += entries[i].Bytes()
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.layoutPath(dir), text, 0o644); err != nil {
		return err
	}
	for area := range 2 {
		if err := allocate(r.areaPath(dir, area), int64(size)); err != nil {
			return err
		}
	}
	return nil
}

// allocate makes a file of zeros.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if size == 0 {
		return nil
	}
	switch err := unix.Fallocate(int(f.Fd()), 0, 0, size); {
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS):
		zeros := make([]byte, 1<<20)
		for at := int64(0); at < size; at += int64(len(zeros)) {
			if _, err := f.Write(zeros[:min(int64(len(zeros)), size-at)]); err != nil {
				return err
			}
		}
	case err != nil:
		return fmt.Errorf("%s: %d bytes: %w", path, size, err)
	}
	return f.Sync()
}

// openArrays maps a pair of files.
func openArrays(dir string, r fileRecord) (*arrays, error) {
	a := &arrays{record: r, entries: map[string]Entry{}}
	text, err := os.ReadFile(r.layoutPath(dir))
	if err != nil {
		return nil, err
	}
	var entries []Entry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", r.layoutPath(dir), err)
	}
	size := 0
	for _, e := range entries {
		a.entries[e.Name] = e
		a.order = append(a.order, e.Name)
		if e.Offset < 0 || e.Bytes() < 0 || e.DType.Size() == 0 {
			return nil, fmt.Errorf("%s: entry %q makes no sense", r.layoutPath(dir), e.Name)
		}
		size = max(size, e.Offset+e.Bytes())
	}
	for area := range 2 {
		if a.areas[area], err = mapFile(r.areaPath(dir, area), size); err != nil {
			a.unmap()
			return nil, err
		}
	}
	return a, nil
}

// mapFile maps a whole file of the given size, to be read and written.
func mapFile(path string, size int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != int64(size) {
		return nil, fmt.Errorf("%s: %d bytes, want %d", path, st.Size(), size)
	}
	if size == 0 {
		return nil, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return data, nil
}

func (a *arrays) unmap() error {
	if a.memory != nil {
		a.memory.Forget()
	}
	var errs []error
	for i, data := range a.areas {
		if data != nil {
			errs = append(errs, unix.Munmap(data))
		}
		a.areas[i] = nil
	}
	return errors.Join(errs...)
}

// remove deletes the files of a pair.
func (r fileRecord) remove(dir string) error {
	return errors.Join(missingIsFine(os.Remove(r.layoutPath(dir))), missingIsFine(os.Remove(r.areaPath(dir, 0))), missingIsFine(os.Remove(r.areaPath(dir, 1))))
}

func missingIsFine(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// chunk is the unit of copying and summing, which all cores share.
const chunk = 4 << 20

// inChunks calls fn for every chunk of n bytes, several at a time.
func inChunks(n int, fn func(i, lo, hi int)) {
	count := (n + chunk - 1) / chunk
	next := make(chan int, count)
	for i := range count {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), count) {
		wg.Go(func() {
			for i := range next {
				fn(i, i*chunk, min((i+1)*chunk, n))
			}
		})
	}
	wg.Wait()
}

// sum is a checksum of data that does not depend on the number of cores.
func sum(data []byte) uint32 {
	parts := make([]byte, 4*((len(data)+chunk-1)/chunk))
	inChunks(len(data), func(i, lo, hi int) {
		c := crc32.Checksum(data[lo:hi], castagnoli)
		parts[4*i], parts[4*i+1], parts[4*i+2], parts[4*i+3] = byte(c), byte(c>>8), byte(c>>16), byte(c>>24)
	})
	return crc32.Checksum(parts, castagnoli)
}

// duplicate copies src to dst.
func duplicate(dst, src []byte) {
	inChunks(len(src), func(_, lo, hi int) { copy(dst[lo:hi], src[lo:hi]) })
}
