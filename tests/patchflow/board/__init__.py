"""All that is asked of one small Patchflow with a person for each role: duties over REST and by forms, the admin site."""
