-- SHA-256 of the entries that a waiting room's draw was of, written down as it is made; null for draws before this.
ALTER TABLE flash_sales ADD COLUMN draw_crowd bytea;
