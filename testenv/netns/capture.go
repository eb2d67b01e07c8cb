package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limits of one capture.
const (
	// CaptureFrames is how many frames a capture keeps; later ones are
	// counted as lost. It bounds the memory of a test that goes wrong.
	CaptureFrames = 1 << 17
	// captureBuffer is the socket's memory, in bytes: what a flood may send
	// while the reader does not run.
	captureBuffer = 64 << 20
	// maxFrame is the longest frame GRO builds, with its Ethernet header
	// and two VLAN tags.
	maxFrame = 1<<16 + 14 + 8
)

// Frame is one captured Ethernet frame.
type Frame struct {
	Time     time.Time
	Outgoing bool // sent by the host; else received
	// ChecksumPartial is set where the transport checksum is not one of the
	// wire: the host merged several segments (GRO) before they were seen.
	ChecksumPartial bool
	Data            []byte // from the Ethernet header on, VLAN tag included
}

// Capture collects the frames of one device. An XDP program on the device acts
// before the capture: it sees what the program passed, not what it sent,
// dropped or redirected. Watch those at the other end of the cable.
type Capture struct {
	file *os.File
	done chan struct{} // closed when the reader has ended
	buf  []byte        // the reader's, then Stop's

	mu     sync.Mutex
	frames []Frame
	lost   int   // beyond CaptureFrames
	err    error // why the reader ended early
}

// Capture starts collecting the frames that a device receives and sends. The
// caller calls Stop.
func (h *HostEnv) Capture(device string) (*Capture, error) {
	iface, err := h.Interface(device)
	if err != nil {
		return nil, fmt.Errorf("capture on %s/%s: %w", h.name, device, err)
	}
	fd := -1
	if err := h.Do(func() error {
		fd, err = captureSocket(iface.Index)
		return err
	}); err != nil {
		return nil, fmt.Errorf("capture on %s/%s: %w", h.name, device, err)
	}
	c := &Capture{
		file: os.NewFile(uintptr(fd), "capture-"+h.name+"-"+device),
		done: make(chan struct{}),
		buf:  make([]byte, maxFrame),
	}
	go c.read()
	return c, nil
}

func captureSocket(ifindex int) (fd int, err error) {
	// Protocol 0 receives nothing until bind: no frame of another device
	// slips in.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: ifindex}),
	)
	if err != nil {
		return -1, errors.Join(fmt.Errorf("set up packet socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// read collects until Stop sets a deadline.
func (c *Capture) read() {
	defer close(c.done)
	conn, err := c.file.SyscallConn()
	if err == nil {
		var inner error
		err = conn.Read(func(fd uintptr) bool {
			inner = c.drain(int(fd))
			return inner != nil
		})
		err = errors.Join(err, inner)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
}

// drain reads every frame the socket holds. An empty socket is no error.
func (c *Capture) drain(fd int) error {
	oob := make([]byte, 256)
	for {
		n, oobn, _, from, err := unix.Recvmsg(fd, c.buf, oob, 0)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("receive frame: %w", err)
		}
		f := Frame{Time: time.Now(), Data: slices.Clone(c.buf[:n])}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		if err := f.annotate(oob[:oobn]); err != nil {
			return err
		}
		c.keep(f)
	}
}

func (c *Capture) keep(f Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.frames) == CaptureFrames {
		c.lost++
		return
	}
	c.frames = append(c.frames, f)
}

// annotate reads what the kernel says about the frame: its time, whether the
// checksum is whole, and the VLAN tag, which the kernel has taken out.
func (f *Frame) annotate(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("parse control message: %w", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
			f.Time = time.Unix((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Unix())
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA &&
			len(m.Data) >= int(unsafe.Sizeof(unix.TpacketAuxdata{})):
			aux := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
			f.ChecksumPartial = aux.Status&unix.TP_STATUS_CSUMNOTREADY != 0
			if aux.Status&unix.TP_STATUS_VLAN_VALID != 0 {
				f.tag(aux.Vlan_tpid, aux.Vlan_tci)
			}
		}
	}
	return nil
}

// tag puts a VLAN tag back behind the two MAC addresses.
func (f *Frame) tag(tpid, tci uint16) {
	const macs = 12
	if len(f.Data) < macs {
		return
	}
	tagged := slices.Clone(f.Data[:macs])
	tagged = binary.BigEndian.AppendUint16(tagged, tpid)
	tagged = binary.BigEndian.AppendUint16(tagged, tci)
	f.Data = append(tagged, f.Data[macs:]...)
}

// Send puts one Ethernet frame on the wire of a device as it is.
func (h *HostEnv) Send(device string, frame []byte) error {
	err := h.Do(func() error {
		iface, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: iface.Index})
		return errors.Join(err, unix.Close(fd))
	})
	if err != nil {
		return fmt.Errorf("send frame on %s/%s: %w", h.name, device, err)
	}
	return nil
}

// Frames returns what has been collected so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[:len(c.frames):len(c.frames)]
}

// Stop ends the capture and returns every frame that the device carried before
// the call. It is an error if frames were lost. Stop is called once.
func (c *Capture) Stop() ([]Frame, error) {
	err := c.file.SetReadDeadline(time.Unix(1, 0))
	if err == nil {
		<-c.done
		err = c.rest()
	}
	err = errors.Join(err, c.file.Close())
	<-c.done // Close ends the reader where the deadline could not be set
	c.mu.Lock()
	defer c.mu.Unlock()
	err = errors.Join(c.err, err)
	if c.lost > 0 {
		err = errors.Join(err, fmt.Errorf("capture: %d frames lost", c.lost))
	}
	return c.frames, err
}

// rest reads what arrived before the reader was stopped, and asks the kernel
// whether its buffer was ever full.
func (c *Capture) rest() error {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach packet socket: %w", err)
	}
	var inner error
	err = conn.Control(func(fd uintptr) {
		inner = c.drain(int(fd))
		stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			inner = errors.Join(inner, fmt.Errorf("read capture statistics: %w", err))
			return
		}
		c.mu.Lock()
		c.lost += int(stats.Drops)
		c.mu.Unlock()
	})
	return errors.Join(err, inner)
}
