package sqlstore

import (
	"encoding/json"
	"sync"

	"github.com/apron-run/apron/internal/platform"
)

// maxConfigurationBytes bounds the texts of configurations that are remembered: those of thousands of services.
const maxConfigurationBytes = 8 << 20

// configurations remembers what a configuration's text says. A service is read far more often than it changes, and to
// read the text takes longer than to find the row. The zero value is empty.
type configurations struct {
	mu     sync.Mutex // guards what follows
	byText map[string]platform.Configuration
	bytes  int
}

// scanner reads the column into to, which shares nothing with what is remembered.
func (c *configurations) scanner(to *platform.Configuration) *configurationScanner {
	return &configurationScanner{c, to}
}

type configurationScanner struct {
	from *configurations
	to   *platform.Configuration
}

func (s *configurationScanner) Scan(value any) error {
	text, isText := value.(string)
	if !isText {
		return document{s.to}.Scan(value)
	}
	if known, isKnown := s.from.find(text); isKnown {
		*s.to = known.Clone()
		return nil
	}
	if err := json.Unmarshal([]byte(text), s.to); err != nil {
		return err
	}
	s.from.remember(text, s.to.Clone())
	return nil
}

func (c *configurations) find(text string) (platform.Configuration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, isKnown := c.byText[text]
	return known, isKnown
}

// remember makes room by forgetting others, whichever come first.
func (c *configurations) remember(text string, configuration platform.Configuration) {
	if len(text) > maxConfigurationBytes/16 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, isKnown := c.byText[text]; isKnown {
		return
	}
	if c.byText == nil {
		c.byText = map[string]platform.Configuration{}
	}
	for other := range c.byText {
		if c.bytes+len(text) <= maxConfigurationBytes {
			break
		}
		delete(c.byText, other)
		c.bytes -= len(other)
	}
	c.byText[text] = configuration
	c.bytes += len(text)
}
