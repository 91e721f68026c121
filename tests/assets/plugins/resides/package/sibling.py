NAME = "beside a sibling"
