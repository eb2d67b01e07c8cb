package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"steelyard/dataplane"
)

// tableSet is the loaded candidates of the flow table.
type tableSet struct {
	objs tablesObjects
	cpu  []*ebpf.Map // of sets per CPU
}

// The product's flow table has two places for each flow it is sized for (see
// dataplane/xdp, waysPerFlow); so have all candidates.
const placesPerFlow = 2

// loadTables loads every candidate with room for flows, as the backends' next
// hop the rig's far end. Tables per CPU have room for all flows on each CPU.
func (r *rig) loadTables(flows int) (t *tableSet, err error) {
	t = &tableSet{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
			t = nil
		}
	}()
	spec, err := loadTables()
	if err != nil {
		return t, fmt.Errorf("read embedded tables: %w", err)
	}
	if err := configureTables(spec, flows); err != nil {
		return t, err
	}
	inner := spec.Maps["cpu_tables"].InnerMap
	if err := spec.LoadAndAssign(&t.objs, nil); err != nil {
		return t, fmt.Errorf("load tables: %w", err)
	}
	for cpu := range ebpf.MustPossibleCPU() {
		m, err := ebpf.NewMap(inner)
		if err != nil {
			return t, fmt.Errorf("make table of CPU %d: %w", cpu, err)
		}
		t.cpu = append(t.cpu, m)
		if err := t.objs.CpuTables.Put(uint32(cpu), m); err != nil {
			return t, fmt.Errorf("enter table of CPU %d: %w", cpu, err)
		}
	}
	return t, r.fillTables(t)
}

func configureTables(spec *ebpf.CollectionSpec, flows int) error {
	var maps tablesMapSpecs
	var vars tablesVariableSpecs
	if err := errors.Join(spec.Assign(&maps), spec.Assign(&vars)); err != nil {
		return fmt.Errorf("read tables' spec: %w", err)
	}
	places := flows * placesPerFlow
	ways := len(tablesFlowBucket{}.Flow)
	buckets := uint32(max(1, (places+ways-1)/ways))
	cpus := ebpf.MustPossibleCPU()
	maps.Slots.MaxEntries = uint32(ringSize()) + 1 // and its header
	maps.Backends.MaxEntries = backends + 1
	maps.LruFlows.MaxEntries = uint32(places)
	// The kernel splits its entries between the CPUs.
	maps.LruCpuFlows.MaxEntries = uint32(places * cpus)
	maps.FlowBuckets.MaxEntries = buckets
	maps.CpuTables.MaxEntries = uint32(cpus)
	maps.CpuTables.InnerMap.MaxEntries = buckets
	return errors.Join(
		vars.CfgSlots.Set(uint32(ringSize())),
		vars.CfgFlowBuckets.Set(buckets),
		vars.CfgClosingTicks.Set(dataplane.Ticks(closing)),
		vars.CfgLongestIdleTicks.Set(dataplane.Ticks(idle)),
	)
}

// fillTables makes the ring and its backends.
func (r *rig) fillTables(t *tableSet) error {
	for i := range backends {
		at := backendAddr(i, false)
		b := tablesBackend{PortBe: at.Port()<<8 | at.Port()>>8, Alive: 1}
		b.Addr.Octets = at.Addr().As16()
		b.Next.Ifindex, b.Next.Kind = uint32(r.back), uint8(dataplane.NextHopNeighbor)
		b.Next.Dst, b.Next.Src = farMAC, backMAC
		if err := t.objs.Backends.Put(uint32(i+1), b); err != nil {
			return fmt.Errorf("write backend: %w", err)
		}
	}
	keys, values := make([]uint32, ringSize()), make([]tablesSlot, ringSize())
	for i := range keys {
		keys[i] = uint32(i) + 1 // past the header
		values[i].Current = uint32(1 + i%backends)
		values[i].Settled = values[i].Current
	}
	if _, err := t.objs.Slots.BatchUpdate(keys, values, nil); err != nil {
		return fmt.Errorf("write ring: %w", err)
	}
	err := r.env.Host("gateway").Do(func() error {
		return t.objs.TxDevices.Put(uint32(r.back), uint32(r.back))
	})
	if err != nil {
		return fmt.Errorf("allow redirects: %w", err)
	}
	return nil
}

func (t *tableSet) close() error {
	var errs []error
	for _, m := range t.cpu {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, t.objs.Close())...)
}

// candidate is one construction of the flow table.
type candidate struct {
	name    string
	program func(*tableSet) *ebpf.Program
	maps    func(*tableSet) []*ebpf.Map // that hold its flows
}

func candidates() []candidate {
	return []candidate{
		{"none: ring only", func(t *tableSet) *ebpf.Program { return t.objs.TableNone }, func(*tableSet) []*ebpf.Map { return nil }},
		{"sets, shared (bpf/flow.h)", func(t *tableSet) *ebpf.Program { return t.objs.TableSets }, func(t *tableSet) []*ebpf.Map { return []*ebpf.Map{t.objs.FlowBuckets} }},
		{"sets, per CPU", func(t *tableSet) *ebpf.Program { return t.objs.TableSetsCpu }, func(t *tableSet) []*ebpf.Map { return t.cpu }},
		{"LRU hash, shared", func(t *tableSet) *ebpf.Program { return t.objs.TableLru }, func(t *tableSet) []*ebpf.Map { return []*ebpf.Map{t.objs.LruFlows} }},
		{"LRU hash, per-CPU lists", func(t *tableSet) *ebpf.Program { return t.objs.TableLruCpu }, func(t *tableSet) []*ebpf.Map { return []*ebpf.Map{t.objs.LruCpuFlows} }},
	}
}

// subjects returns the bare program and then the candidates.
func (r *rig) tableSubjects(t *tableSet) []subject {
	list := []subject{r.bare()}
	for _, c := range candidates() {
		list = append(list, r.plain(c.name, c.program(t)))
	}
	return list
}

// memory returns the bytes of each candidate's tables as the kernel accounts
// them.
func (t *tableSet) memory() ([]uint64, error) {
	var list []uint64
	for _, c := range candidates() {
		var sum uint64
		for _, m := range c.maps(t) {
			info, err := m.Info()
			if err != nil {
				return nil, fmt.Errorf("look at %s: %w", m, err)
			}
			bytes, _ := info.Memlock()
			sum += bytes
		}
		list = append(list, sum)
	}
	return list, nil
}

// warm lets every candidate see the load before it is measured.
func (r *rig) warm(ctx context.Context, subjects []subject, l load) error {
	for _, s := range subjects {
		if _, err := r.run(ctx, s, l); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	return nil
}
