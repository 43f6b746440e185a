<?php

declare(strict_types=1);

namespace Hello;

/** What the app answers: a greeting and what it knows about its request. */
final class Greeting
{
    private const MESSAGE = 'Hello from PHP';

    public function __construct(private readonly string $path, private readonly string $mode)
    {
    }

    public function json(): string
    {
        $answer = ['message' => self::MESSAGE, 'path' => $this->path, 'mode' => $this->mode];

        return json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES) . "\n";
    }
}
