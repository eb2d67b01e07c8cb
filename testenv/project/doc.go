// Package project holds the rules that the tree itself obeys, as tests: who
// imports whom, what is documented, how long files are, and that README says
// what the code does. It has no code of its own and nothing imports it.
package project
