"""What the techniques over networks share."""
