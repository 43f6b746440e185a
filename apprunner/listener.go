package apprunner

type DescribeListenersRequest struct{}

// DescribeListenersResponse is where the public services of this apron answer: each by its host name, at these ports.
type DescribeListenersResponse struct {
	HTTPPort *Integer `api:"HttpPort,required"`
	// HTTPSPort is absent where there is no HTTPS.
	HTTPSPort *Integer `api:"HttpsPort"`
}
