"""What `import recengine as rec` offers: the layers below in raw ids, frames and keywords."""
