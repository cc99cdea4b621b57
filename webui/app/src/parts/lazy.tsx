// Draws its content only near the visible part of the page, so that a thousand
// points cost what a screenful costs.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** height is the estimate, in pixels, that stands for content that was never drawn. */
export function Lazy(p: { height: number; eager: boolean; children: () => ComponentChildren }) {
  const [near, setNear] = useState(p.eager);
  const [height, setHeight] = useState(p.height);
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = ref.current;
    if (!box) return;
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (!entry) return;
        if (!entry.isIntersecting && box.offsetHeight > 0) setHeight(box.offsetHeight);
        setNear(entry.isIntersecting);
      },
      { rootMargin: "600px" },
    );
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  return (
    <div ref={ref} style={near ? undefined : { height: `${height}px` }}>
      {near && p.children()}
    </div>
  );
}
