// Nothing moves under the hand: when rows stay where they are.
import { type RefObject, useEffect, useState } from "react";

/** As far as a list may be scrolled and still count as at its top. */
const TOP_PIXELS = 160;

export interface Hold {
  held: boolean;
  /** In words; undefined if the list follows. */
  why: string | undefined;
  /** Handlers for what contains the rows. */
  hover: { onPointerEnter(event: React.PointerEvent): void; onPointerLeave(): void; onFocus(): void; onBlur(event: React.FocusEvent): void };
}

export function useHold({ paused, selected, body }: { paused: boolean; selected: boolean; body: RefObject<HTMLElement | null> }): Hold {
  const [scrolled, setScrolled] = useState(false);
  const [hovered, setHovered] = useState(false);
  const [focused, setFocused] = useState(false);
  useEffect(() => {
    const onScroll = () => setScrolled(scrollY > TOP_PIXELS && body.current !== null);
    onScroll();
    addEventListener("scroll", onScroll, { passive: true });
    return () => removeEventListener("scroll", onScroll);
  }, [body]);
  const why = paused ? "Paused"
    : selected ? "Held while tasks are selected"
    : scrolled ? "Held while you are further down"
    : focused ? "Held while you are in the list"
    : hovered ? "Held while the pointer is on the list"
    : undefined;
  return {
    held: why !== undefined, why,
    hover: {
      onPointerEnter: (event) => event.pointerType === "mouse" && setHovered(true),
      onPointerLeave: () => setHovered(false),
      onFocus: () => setFocused(true),
      onBlur: (event) => !event.currentTarget.contains(event.relatedTarget) && setFocused(false),
    },
  };
}
