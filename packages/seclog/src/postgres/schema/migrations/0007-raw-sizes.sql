-- The bounds of 0004 hold for what a value takes in the row, where it may be compressed: a writer can have a large object
-- described by megabytes that compress to nothing, and insert that description. What a reader gets is the raw text, so that
-- is bounded here. Rows that are there already stay as they are.
ALTER TABLE public.security_event_log ADD CONSTRAINT security_event_log_raw_size CHECK (
  octet_length(path) <= 65536 AND octet_length(user_agent) <= 65536 AND octet_length(ip_chain) <= 65536
  AND octet_length(method_original) <= 65536 AND octet_length(request_host) <= 65536
  AND octet_length(request_id) <= 65536 AND octet_length(trace_id) <= 65536 AND octet_length(span_id) <= 65536
  AND octet_length(ip_source) <= 65536
  AND octet_length(actor_id) <= 65536 AND octet_length(actor_type) <= 65536
  AND octet_length(target_id) <= 65536 AND octet_length(target_type) <= 65536
  AND octet_length(data::text) <= 4194304 AND octet_length(notes::text) <= 1048576
  AND octet_length(salt) <= 100 AND octet_length(commitment) <= 100
) NOT VALID;
