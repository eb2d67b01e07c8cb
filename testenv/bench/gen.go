package bench

// Built as the product's object is (dataplane/xdp/gen.go). The candidates use
// only a part of the product's headers, hence no warning of what is not used.
//
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -go-package bench -target bpfel -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -mcpu=v3 -nostdinc -fdebug-prefix-map=../..=. -I../../bpf -I../../bpf/include" rig bpf/rig.bpf.c
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -go-package bench -target bpfel -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -Wno-unused-function -mcpu=v3 -nostdinc -fdebug-prefix-map=../..=. -I../../bpf -I../../bpf/include" tables bpf/tables.bpf.c
