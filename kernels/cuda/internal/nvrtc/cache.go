package nvrtc

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// Cached is Compile with what was compiled before kept on disk, under the
// user's cache directory: by text, name, architecture and compiler.
func (l *Library) Cached(name, source, arch string) ([]byte, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return l.Compile(name, source, arch)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", l.Version(), arch, name, source))
	path := filepath.Join(root, "dpolab", "nvrtc", fmt.Sprintf("%x.cubin", key))
	if image, err := os.ReadFile(path); err == nil && len(image) > 0 {
		return image, nil
	}
	image, err := l.Compile(name, source, arch)
	if err != nil {
		return nil, err
	}
	// A cache that cannot be written costs time, nothing else.
	if os.MkdirAll(filepath.Dir(path), 0o755) == nil {
		if f, err := os.CreateTemp(filepath.Dir(path), "new"); err == nil {
			_, written := f.Write(image)
			if closed := f.Close(); written != nil || closed != nil || os.Rename(f.Name(), path) != nil {
				os.Remove(f.Name())
			}
		}
	}
	return image, nil
}
