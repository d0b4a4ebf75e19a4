"""Recipe -> ordered stages: what is finished is skipped, what was killed goes on."""
