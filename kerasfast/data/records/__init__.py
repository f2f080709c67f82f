"""Records: TFRecord shards of decoded clips with a manifest, and how they are built."""
