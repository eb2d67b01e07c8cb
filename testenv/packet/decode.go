package packet

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// decodedLayer is one layer with its fields in words.
type decodedLayer struct {
	name   string
	fields []decodedField
	raw    []byte // the whole of it where it has no fields
}

type decodedField struct{ name, value string }

// decode splits a frame into layers, into the packet that an ICMP error quotes
// as well.
func decode(frame []byte) []decodedLayer {
	out := decodeFrom(frame, layers.LayerTypeEthernet, "")
	if ip, err := ipPacket(frame); err == nil {
		if n := packetLength(ip); n < len(ip) {
			out = append(out, decodedLayer{name: "padding", raw: ip[n:]})
		}
	}
	return out
}

// packetLength is what the IP header says, at most what there is.
func packetLength(ip []byte) int {
	n := int(ip[2])<<8 | int(ip[3])
	if ip[0]>>4 == 6 {
		n = 40 + (int(ip[4])<<8 | int(ip[5]))
	}
	return min(n, len(ip))
}

func decodeFrom(data []byte, first gopacket.LayerType, prefix string) []decodedLayer {
	var out []decodedLayer
	quoting := false
	for _, l := range gopacket.NewPacket(data, first, gopacket.DecodeOptions{NoCopy: true}).Layers() {
		name := prefix + l.LayerType().String()
		switch l := l.(type) {
		case *layers.ICMPv4:
			quoting = l.TypeCode.Type() == layers.ICMPv4TypeDestinationUnreachable || l.TypeCode.Type() == layers.ICMPv4TypeTimeExceeded || l.TypeCode.Type() == layers.ICMPv4TypeParameterProblem
		case *layers.ICMPv6:
			quoting = l.TypeCode.Type() < layers.ICMPv6TypeEchoRequest
		case *gopacket.Payload, *gopacket.DecodeFailure:
			out = append(out, decodePayload(name, l.LayerContents(), quoting, prefix)...)
			continue
		}
		out = append(out, decodedLayer{name: name, fields: fieldsOf(l), raw: l.LayerContents()})
	}
	return out
}

// decodePayload looks into what an ICMP error quotes; ICMPv6 in gopacket
// leaves the second word of its header to the payload.
func decodePayload(name string, data []byte, quoting bool, prefix string) []decodedLayer {
	var out []decodedLayer
	if quoting && prefix == "" && len(data) > 4 {
		if v := data[0] >> 4; v != 4 && v != 6 || strings.HasPrefix(string(data[:2]), "\x00\x00") {
			out, data = append(out, decodedLayer{name: "ICMPv6 rest", raw: data[:4]}), data[4:]
		}
		if len(data) >= 20 && data[0]>>4 == 4 {
			return append(out, decodeFrom(data, layers.LayerTypeIPv4, "quoted ")...)
		}
		if len(data) >= 40 && data[0]>>4 == 6 {
			return append(out, decodeFrom(data, layers.LayerTypeIPv6, "quoted ")...)
		}
	}
	return append(out, decodedLayer{name: name, raw: data})
}

// fieldsOf lists the exported fields of a gopacket layer.
func fieldsOf(l gopacket.Layer) []decodedField {
	v := reflect.Indirect(reflect.ValueOf(l))
	if v.Kind() != reflect.Struct {
		return nil
	}
	var out []decodedField
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Anonymous || f.Name == "HopByHop" {
			continue
		}
		out = append(out, decodedField{f.Name, fmt.Sprint(v.Field(i).Interface())})
	}
	return out
}
