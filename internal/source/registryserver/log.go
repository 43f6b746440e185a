package registryserver

import (
	"context"
	"io"
	"log/slog"
	"net/url"

	"github.com/sirupsen/logrus"
)

// sendLogs makes logrus' one logger per process, which the distribution project (and containerd's client) use, write
// to logger. The logger of the last call counts.
func sendLogs(logger *slog.Logger) {
	standard := logrus.StandardLogger()
	standard.SetOutput(io.Discard)
	standard.SetLevel(logrus.InfoLevel)
	standard.ReplaceHooks(logrus.LevelHooks{})
	standard.AddHook(logHook{logger})
}

type logHook struct{ logger *slog.Logger }

func (logHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes the entry on with the few fields that help; headers and queries stay out.
func (h logHook) Fire(entry *logrus.Entry) error {
	var attributes []slog.Attr
	for from, to := range map[string]string{
		"error": "error", "err.message": "error", "err.detail": "detail", "vars.name": "repository",
		"http.request.method": "method", "http.response.status": "status",
	} {
		if value, ok := entry.Data[from]; ok {
			attributes = append(attributes, slog.Any(to, value))
		}
	}
	if raw, ok := entry.Data["http.request.uri"].(string); ok {
		if uri, err := url.Parse(raw); err == nil {
			attributes = append(attributes, slog.String("path", uri.Path))
		}
	}
	h.logger.LogAttrs(context.Background(), level(entry), entry.Message, attributes...)
	return nil
}

// level lowers what is routine: every request is an Info of theirs, and every "is this layer there?" an Error.
func level(entry *logrus.Entry) slog.Level {
	status, isAnswer := entry.Data["http.response.status"].(int)
	switch {
	case isAnswer && status < 500:
		return slog.LevelDebug
	case entry.Level <= logrus.ErrorLevel:
		return slog.LevelError
	case entry.Level == logrus.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}
