"""The folder of predictions: masks, index, pictures, COCO, gallery."""
