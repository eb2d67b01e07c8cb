package netns

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"as it should be", func(*World) {}, ""},
		{"host twice", func(w *World) { w.Hosts[1].Name = "client" }, `host name "client" is empty or used twice`},
		{"unknown host", func(w *World) { w.Links[0].A.Host = "moon" }, `unknown host "moon"`},
		{"device twice", func(w *World) { w.Links[1].A.Device = "front" }, `host gw has device "front" twice`},
		{"device name too long", func(w *World) { w.Links[0].A.Device = strings.Repeat("x", 16) }, "longer than 15 bytes"},
		{"switch named like a host", func(w *World) { w.Switches = []Switch{{Name: "gw"}} }, `switch name "gw"`},
		{"cable to a switch", func(w *World) {
			w.Switches = []Switch{{Name: "lan"}}
			w.Links[0].A.Host = "lan"
		}, `unknown host "lan"`},
		{"route to nowhere", func(w *World) { w.Hosts[0].Routes = []Route{{}} }, "no destination or no way"},
		{"nothing", func(w *World) { *w = World{} }, "no hosts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := twoArmed()
			tt.change(&w)
			err := w.validate()
			if tt.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
