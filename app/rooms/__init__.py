"""Who is connected to a show and what they are sent. Knows nothing of chat, sales or video."""
