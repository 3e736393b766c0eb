-- The numbers of the demo's guests ("Guest 12"): two guests who come at once never share one.
CREATE SEQUENCE guest_numbers;
