package netns

import "testing"

// TestReplug: a cable that is replaced carries packets again, between devices
// with other numbers.
func TestReplug(t *testing.T) {
	RequireRoot(t)
	w := twoArmed()
	env := New(t, w)
	client, gw := env.Host("client"), env.Host("gw")
	exchange(t, client, gw, w.Links[0].B.Addrs[0].Addr().String()+":5000")
	before, err := gw.Interface(w.Links[0].B.Device)
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Unplug("gw", w.Links[0].B.Device); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Interface(w.Links[0].A.Device); err == nil {
		t.Error("the other end of the cable is still there")
	}
	if err := env.Plug(t.Context(), w.Links[0]); err != nil {
		t.Fatal(err)
	}
	exchange(t, client, gw, w.Links[0].B.Addrs[0].Addr().String()+":5000")
	after, err := gw.Interface(w.Links[0].B.Device)
	if err != nil || after.Index == before.Index {
		t.Errorf("device number %d after %d: %v", after.Index, before.Index, err)
	}
}

func TestSetDownAndUp(t *testing.T) {
	RequireRoot(t)
	w := twoArmed()
	env := New(t, w)
	client, gw := env.Host("client"), env.Host("gw")
	target := w.Links[0].B.Addrs[0].Addr().String() + ":5000"
	if err := client.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	if conn, err := client.Dial(t.Context(), "tcp", target); err == nil {
		conn.Close()
		t.Error("a device that is down carries packets")
	}
	if err := client.SetUp(t.Context(), "eth0"); err != nil {
		t.Fatal(err)
	}
	exchange(t, client, gw, target)
}
