package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// accessLine is what a person reads of a line of the access log; `--output json` has all of it.
type accessLine struct {
	Client, Method, Host, Path, Problem string
	Status, Lost                        int
	ResponseBytes                       int64   `json:"response_bytes"`
	DurationMs                          float64 `json:"duration_ms"`
	QueueMs                             float64 `json:"queue_ms"`
}

// accessText is a line of the access log for a person. What is no such line stays as it is.
func accessText(message string) string {
	var line accessLine
	if err := json.Unmarshal([]byte(message), &line); err != nil {
		return message
	}
	if line.Lost > 0 {
		return fmt.Sprintf("%d lines are missing here. %s", line.Lost, line.Problem)
	}
	parts := []string{
		fmt.Sprintf("%d %s %s", line.Status, line.Method, line.Path), fmt.Sprintf("%.1f ms", line.DurationMs),
		fmt.Sprintf("%d B", line.ResponseBytes), line.Client, line.Host,
	}
	if line.QueueMs >= 1 {
		parts = append(parts, fmt.Sprintf("waited %.0f ms", line.QueueMs))
	}
	if line.Problem != "" {
		parts = append(parts, line.Problem)
	}
	return strings.Join(parts, "  ")
}
