// Package sample makes what the tests and the benchmarks deploy: images that hold one small server and nothing else, and
// Git repositories with small applications.
package sample
