package webhook

// user is who pushed, as the hosts name people.
type user struct {
	Login, Username, Name, Nickname string
	DisplayName                     string `json:"display_name"`
}

func (u user) String() string {
	for _, name := range []string{u.Login, u.Username, u.Nickname, u.Name, u.DisplayName} {
		if name != "" {
			return name
		}
	}
	return ""
}

func readGitHub(name string, body []byte) (read message, err error) {
	var payload struct {
		Ref, After      string
		Forced, Deleted bool
		Pusher, Sender  user
		Action          string
		Package         *gitHubPackage
		RegistryPackage *gitHubPackage `json:"registry_package"`
	}
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	switch name {
	case "ping":
		read.isPing = true
	case "push":
		if payload.Deleted {
			payload.After = ""
		}
		read.events = pushed(payload.Ref, payload.After, payload.Pusher.String())
		for i := range read.events {
			read.events[i].isForced = payload.Forced && !read.events[i].isDeleted
		}
	case "package", "registry_package":
		of := payload.Package
		if of == nil {
			of = payload.RegistryPackage
		}
		if of != nil && (payload.Action == "published" || payload.Action == "updated") {
			read.events = []event{{kind: ofImage, name: of.Version.Metadata.Tag.Name, by: payload.Sender.String()}}
		}
	}
	return read, nil
}

// gitHubPackage is a version of an image in GitHub's registry.
type gitHubPackage struct {
	Version struct {
		Metadata struct {
			Tag struct{ Name string }
		} `json:"container_metadata"`
	} `json:"package_version"`
}

func readGitLab(_ string, body []byte) (read message, err error) {
	var payload struct {
		Kind       string `json:"object_kind"`
		Event      string `json:"event_name"` // of a system hook
		Ref, After string
		User       string `json:"user_username"`
		UserName   string `json:"user_name"`
	}
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	if payload.Kind == "push" || payload.Event == "push" {
		read.events = pushed(payload.Ref, payload.After, user{Login: payload.User, Name: payload.UserName}.String())
	}
	return read, nil
}

// readGitea is for Gitea, and for Forgejo and Gogs, which are its relatives.
func readGitea(name string, body []byte) (read message, err error) {
	var payload struct {
		Ref, After     string
		RefType        string `json:"ref_type"`
		Pusher, Sender user
		Action         string
		Package        *struct{ Type, Version string }
	}
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	switch {
	case name == "push":
		read.events = pushed(payload.Ref, payload.After, payload.Pusher.String())
	case name == "delete" && payload.RefType == "branch":
		read.events = []event{{name: payload.Ref, by: payload.Sender.String(), isDeleted: true}}
	case name == "package" && payload.Package != nil && payload.Package.Type == "container" && payload.Action == "created":
		read.events = []event{{kind: ofImage, name: payload.Package.Version, by: payload.Sender.String()}}
	}
	return read, nil
}

// readBitbucket is for Bitbucket's cloud, and for a Bitbucket of one's own.
func readBitbucket(key string, body []byte) (read message, err error) {
	type ref struct {
		Type, Name string
		Target     struct{ Hash string }
	}
	var payload struct {
		Actor user
		Push  struct {
			Changes []struct {
				Old, New *ref
				Forced   bool
			}
		}
		Changes []struct {
			Ref    struct{ ID string }
			ToHash string
			Type   string
		}
	}
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	read.isPing = key == "diagnostics:ping"
	by := payload.Actor.String()
	for _, change := range payload.Push.Changes {
		switch {
		case change.New != nil && change.New.Type == "branch":
			read.events = append(read.events, event{name: change.New.Name, commit: change.New.Target.Hash, by: by, isForced: change.Forced})
		case change.New == nil && change.Old != nil && change.Old.Type == "branch":
			read.events = append(read.events, event{name: change.Old.Name, by: by, isDeleted: true})
		}
	}
	for _, change := range payload.Changes {
		if change.Type == "DELETE" {
			change.ToHash = ""
		}
		read.events = append(read.events, pushed(change.Ref.ID, change.ToHash, by)...)
	}
	return read, nil
}
