package dataplane

import "fmt"

// Verdict is what the packet path decided about one packet. The numbers are
// those of enum verdict in bpf/abi.h; a test holds the two lists together.
type Verdict uint8

// The verdicts, each with one counter. Texts for people are in Doc.
const (
	VerdictContinue Verdict = iota // never counted: the next stage decides

	PassNotOurs
	PassLocal
	PassDirect
	PassUnresolved
	PassFragmentNeeded

	SendBack
	Redirect
	AnswerTimeExceeded
	AnswerTooBig

	DropTruncated
	DropBadHeader
	DropBadLength
	DropBadChecksum
	DropTTLZero
	DropTTLExpired
	DropTooBig
	DropFragment
	DropBadSource
	DropNoService
	DropNoBackend
	DropReplyConflict
	DropInternal

	VerdictCount // not a verdict
)

// VerdictAction is the group a verdict belongs to.
type VerdictAction string

// The groups of verdicts.
const (
	ActionPass   VerdictAction = "pass"
	ActionSend   VerdictAction = "send"
	ActionAnswer VerdictAction = "answer"
	ActionDrop   VerdictAction = "drop"
)

type verdictText struct {
	name   string
	action VerdictAction
	doc    string
}

var verdictTexts = [VerdictCount]verdictText{
	PassNotOurs:        {"not-ours", ActionPass, "not for a VIP and not from a backend: left to the kernel untouched"},
	PassLocal:          {"local", ActionPass, "for the box itself: its own address, or a VIP port it listens on"},
	PassDirect:         {"direct", ActionPass, "reply of a backend to a client that addressed the backend itself"},
	PassUnresolved:     {"unresolved", ActionPass, "rewritten and given to the kernel, which resolves the next hop"},
	PassFragmentNeeded: {"fragment-needed", ActionPass, "rewritten and given to the kernel, which may fragment it"},
	SendBack:           {"tx", ActionSend, "sent out of the interface it came in by"},
	Redirect:           {"redirect", ActionSend, "sent out of another interface"},
	AnswerTimeExceeded: {"time-exceeded", ActionAnswer, "TTL ran out here: answered with an ICMP time exceeded"},
	AnswerTooBig:       {"too-big", ActionAnswer, "larger than the next link and not to be fragmented: answered with the MTU"},
	DropTruncated:      {"truncated", ActionDrop, "the frame ends inside a header"},
	DropBadHeader:      {"bad-header", ActionDrop, "impossible IP version, header length or TCP data offset"},
	DropBadLength:      {"bad-length", ActionDrop, "a length field contradicts the frame"},
	DropBadChecksum:    {"bad-checksum", ActionDrop, "wrong IPv4 header checksum"},
	DropTTLZero:        {"ttl-zero", ActionDrop, "arrived with TTL or hop limit 0"},
	DropTTLExpired:     {"ttl-expired", ActionDrop, "TTL ran out here and the rate of answers is used up"},
	DropTooBig:         {"too-big-silent", ActionDrop, "larger than the next link and the rate of answers is used up"},
	DropFragment:       {"fragment", ActionDrop, "a later fragment of a packet whose first one was not seen"},
	DropBadSource:      {"bad-source", ActionDrop, "a source that no client can have: the VIP itself, loopback, multicast"},
	DropNoService:      {"no-service", ActionDrop, "a VIP's port that no service uses and the box does not listen on"},
	DropNoBackend:      {"no-backend", ActionDrop, "the service has no backend that can take the flow"},
	DropReplyConflict:  {"reply-conflict", ActionDrop, "the same client port is busy on another service of this backend"},
	DropInternal:       {"internal", ActionDrop, "the program could not change the packet, or a table contradicts another"},
}

// String returns the verdict's name as printed by status and in metrics.
func (v Verdict) String() string {
	if v > VerdictContinue && v < VerdictCount {
		return verdictTexts[v].name
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// Action returns the group the verdict belongs to.
func (v Verdict) Action() VerdictAction { return verdictTexts[v].action }

// Doc returns one line of explanation.
func (v Verdict) Doc() string { return verdictTexts[v].doc }

// Count is packets and bytes (of whole frames) seen.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// BackendCount is what one backend got and sent back.
type BackendCount struct {
	Forwarded Count `json:"forwarded"`
	Returned  Count `json:"returned"`
}

// FlowTableCount is what happened to the flow table since it was made.
type FlowTableCount struct {
	Inserted uint64 `json:"inserted"`
	// Evicted counts unconfirmed (FlowNew) or closing entries that made
	// room for a new flow.
	Evicted uint64 `json:"evicted"`
	// Refused counts flows not remembered because every place was taken by
	// a confirmed flow.
	Refused uint64 `json:"refused"`
	// Busy counts flows not remembered because another CPU held the bucket.
	Busy uint64 `json:"busy"`
}

// Counters is one reading of the packet path's counters, summed over CPUs.
type Counters struct {
	Verdicts [VerdictCount]Count
	Flows    FlowTableCount
}
