// Package reconcile brings the packet path to the desired state and keeps it
// there. It owns the ids that the packet path knows things by and the rings
// through their changes, and it alone writes the packet path's tables:
//
//	store ──Snapshot──┐
//	                  ├─> build Tables ─> diff ─> apply ─> claim VIPs
//	vip ───Topology───┘        ▲                    │
//	                     ids, rings <── flow scan ──┘
//
// Tables are built whole from the inputs each time and only the difference is
// written, so the order of events does not matter. What fails is in doubt,
// written again until it succeeds, and reported in Status; it never travels
// up, and holds up nothing that does not depend on it. A reconciler opens
// nothing itself: the packet path and the claimer are interfaces, and tests
// pass fakes.
package reconcile
