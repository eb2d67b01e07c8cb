// Package bench measures: a world of network namespaces with a generator, a
// gateway and a counter at the far end, the programs that run in its gateway,
// and what the kernel's clock and the counter say of them. It puts every figure
// beside a bare program measured in turn with it, since machines change their
// speed between runs. It owns nothing that outlives a run, judges nothing and
// is never part of the product.
package bench
