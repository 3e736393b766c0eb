"""What people say in a show, and what moderators do about it. Knows rooms and accounts; nothing of sales or video."""
