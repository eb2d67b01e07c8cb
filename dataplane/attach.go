package dataplane

// AttachMode is how the program runs on a device.
type AttachMode string

// The modes. Native runs in the driver; generic after the kernel has made a
// socket buffer, on any device, several times slower.
const (
	AttachAuto    AttachMode = "" // native, else generic
	AttachNative  AttachMode = "native"
	AttachGeneric AttachMode = "generic"
)
