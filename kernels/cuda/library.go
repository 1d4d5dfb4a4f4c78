package cuda

import (
	"errors"
	"fmt"
	"sync"

	"dpolab/kernels/cuda/internal/blas"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/cuda/internal/nvrtc"
	"dpolab/kernels/device"
	"dpolab/kernels/internal/find"
)

// loaded is the driver, loaded when a GPU is first asked for, and the devices
// that have been opened. A device stays open: its context is the process's.
var loaded struct {
	sync.Mutex
	driver  driver.Driver
	path    string
	blas    *blas.Library
	nvrtc   *nvrtc.Library
	devices map[int]driver.Device
}

// loadDriver finds and initialises the driver; the lock is held.
func loadDriver() error {
	if loaded.driver != nil {
		return nil
	}
	if !driver.Built {
		_, err := driver.Load("")
		return err
	}
	found := find.Search(find.CUDA)
	var errs []error
	for _, path := range found.Paths {
		d, err := driver.Load(path)
		if err == nil {
			loaded.driver, loaded.path, loaded.devices = d, path, map[int]driver.Device{}
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	if len(errs) == 0 {
		return found.Missing()
	}
	return errors.Join(errs...)
}

func openDevice(index int) (driver.Device, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if err := loadDriver(); err != nil {
		return nil, fmt.Errorf("cuda: no GPU: %w", err)
	}
	if d := loaded.devices[index]; d != nil {
		return d, nil
	}
	n, err := loaded.driver.Count()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	if index < 0 || index >= n {
		return nil, fmt.Errorf("cuda: no device cuda:%d, this machine has %d", index, n)
	}
	d, err := loaded.driver.Open(index)
	if err != nil {
		return nil, fmt.Errorf("cuda: open cuda:%d: %w", index, err)
	}
	loaded.devices[index] = d
	return d, nil
}

// Devices lists the GPUs of this machine, all of them.
func Devices() ([]device.Device, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if err := loadDriver(); err != nil {
		return nil, fmt.Errorf("cuda: no GPU: %w", err)
	}
	n, err := loaded.driver.Count()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	list := make([]device.Device, n)
	for i := range list {
		list[i] = device.Device{Type: device.CUDA, Index: i}
	}
	return list, nil
}
