"""The walks of the process that must end, each as people take it: over REST, and at the admin site."""
