// The page for an address without one: its words are in the document, only the header is drawn here.

import { drawHeader } from "../shared/header.js";
import { openSession } from "../shared/session.js";

drawHeader(await openSession());
