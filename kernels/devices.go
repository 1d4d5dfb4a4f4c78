package kernels

import (
	"fmt"

	"dpolab/kernels/device"
)

var listers = map[device.Type]func() ([]device.Device, error){}

// RegisterList says how all devices of a type are found, for "cuda:all".
// Backends call it in init.
func RegisterList(t device.Type, list func() ([]device.Device, error)) { listers[t] = list }

// ParseDevices reads a device list as device.ParseList does, and replaces
// "cuda:all" by the GPUs of this machine.
func ParseDevices(s string) ([]device.Device, error) {
	list, err := device.ParseList(s)
	if err != nil || len(list) != 1 || list[0].Index >= 0 {
		return list, err
	}
	find := listers[list[0].Type]
	if find == nil {
		return nil, fmt.Errorf("device: %q: no backend for %s in this program", s, list[0].Type)
	}
	if list, err = find(); err != nil {
		return nil, fmt.Errorf("device: %q: %w", s, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("device: %q: this machine has no GPU", s)
	}
	return list, nil
}
