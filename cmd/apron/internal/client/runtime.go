package client

import "context"

// Runtime is a runtime and what the machine has of it, as Apron.ListRuntimes tells it.
type Runtime struct {
	Name    string `json:"Name"`
	APIName string `json:"ApiName,omitempty"`
	Version string `json:"Version,omitempty"`
	IsImage bool   `json:"IsImage"`
	State   string `json:"State"`
	Failure string `json:"Failure,omitempty"`
	SizeMB  int    `json:"SizeMb"`
	Digest  string `json:"Digest,omitempty"`
	// MadeAt and CheckedAt are nil when the images are not there; CheckedAt also when they can never change.
	MadeAt           *Time    `json:"MadeAt,omitempty"`
	CheckedAt        *Time    `json:"CheckedAt,omitempty"`
	BuildImage       string   `json:"BuildImage,omitempty"`
	RunImage         string   `json:"RunImage,omitempty"`
	OutdatedServices []string `json:"OutdatedServices"`
}

// Preparation is the making or pulling of a runtime's images.
type Preparation struct {
	ID          string   `json:"Id"`
	Name        string   `json:"Name"`
	IsRefresh   bool     `json:"IsRefresh"`
	IsJoined    bool     `json:"IsJoined"`
	State       string   `json:"State"`
	IsUnchanged bool     `json:"IsUnchanged"`
	Lines       []string `json:"Lines"`
	NextLine    int      `json:"NextLine"`
	Failure     *Failure `json:"Failure,omitempty"`
}

// Runtimes returns all runtimes by name.
func (c *Client) Runtimes(ctx context.Context) ([]Runtime, error) {
	var output struct{ Runtimes []Runtime }
	err := c.call(ctx, "ListRuntimes", map[string]any{}, &output)
	return output.Runtimes, err
}

// PrepareRuntime begins to make or pull a runtime's images, or joins who does.
func (c *Client) PrepareRuntime(ctx context.Context, name string, isRefresh bool) (Preparation, error) {
	return c.preparation(ctx, "PrepareRuntime", map[string]any{"Name": name, "IsRefresh": isRefresh})
}

// Preparation returns how far one is, with its lines from a number on. It ends when nobody asks for it.
func (c *Client) Preparation(ctx context.Context, id string, from int) (Preparation, error) {
	return c.preparation(ctx, "DescribePreparation", map[string]any{"PreparationId": id, "FromLine": from})
}

// CancelPreparation asks for the end of one.
func (c *Client) CancelPreparation(ctx context.Context, id string) error {
	_, err := c.preparation(ctx, "CancelPreparation", map[string]any{"PreparationId": id})
	return err
}

func (c *Client) preparation(ctx context.Context, action string, input map[string]any) (Preparation, error) {
	var output struct{ Preparation Preparation }
	err := c.call(ctx, action, input, &output)
	return output.Preparation, err
}
