"""What Redis knows: the records, and the scripts that change them. PROTOCOL.md is the page of the wire format."""
